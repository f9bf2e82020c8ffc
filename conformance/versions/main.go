// Orders versions as golang.org/x/mod/semver does, and toolchains as go/version does.
//
// It reads two texts a line, in hexadecimal UTF-8 with a space between them. It answers each line with <, =, > or !,
// which says that one of them is no version. A version without v is the one with it, as in Go's advisories.
package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"go/version"
	"log"
	"os"
	"strings"

	"golang.org/x/mod/semver"
)

func sign(order int) string {
	return []string{"<", "=", ">"}[order+1]
}

func order(a, b string) string {
	if strings.HasPrefix(a, "go") {
		if !version.IsValid(a) || !version.IsValid(b) {
			return "!"
		}
		return sign(version.Compare(a, b))
	}
	a, b = "v"+strings.TrimPrefix(a, "v"), "v"+strings.TrimPrefix(b, "v")
	if !semver.IsValid(a) || !semver.IsValid(b) {
		return "!"
	}
	return sign(semver.Compare(a, b))
}

func text(digits string) string {
	bytes, err := hex.DecodeString(digits)
	if err != nil {
		log.Fatal(err)
	}
	return string(bytes)
}

func main() {
	lines, answers := bufio.NewScanner(os.Stdin), bufio.NewWriter(os.Stdout)
	for lines.Scan() {
		a, b, _ := strings.Cut(lines.Text(), " ")
		fmt.Fprintln(answers, order(text(a), text(b)))
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
	if err := answers.Flush(); err != nil {
		log.Fatal(err)
	}
}
