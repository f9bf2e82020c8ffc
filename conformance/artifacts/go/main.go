// A small web server with a module of a vulnerable version.
package main

import (
	"fmt"
	"net/http"

	"golang.org/x/net/html"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, html.EscapeString(r.URL.Path))
	})
	if err := http.ListenAndServe(":8080", nil); err != nil {
		panic(err)
	}
}
