// Unpacks the layers of images as containerd does, and shows the tree that a container has.
//
// It reads an image a line, {"layers": [BASE64, …], "paths": [BASE64, …]} with the lowest layer first, and answers with a
// line: for each layer the error with which containerd rejects it, or none, the tree as it is after that layer, and where
// each of the paths leads to in it. A layer that is rejected ends the image. Each layer has a directory of its own, as with the overlayfs snapshotter, and the tree is a mount of
// overlayfs with all of them below an empty one.
//
// It needs root. All mounts are in a mount namespace of its own, which ends with it.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"

	"github.com/containerd/containerd/v2/pkg/archive"
	"github.com/containerd/containerd/v2/pkg/archive/compression"
	"golang.org/x/sys/unix"
)

type image struct {
	Layers [][]byte `json:"layers"`
	Paths  [][]byte `json:"paths"`
}

type answer struct {
	Error    string     `json:"error"`
	Tree     []node     `json:"tree"`
	Resolved []resolved `json:"resolved"`
}

type resolved struct {
	// The path without symbolic links, from the root of the tree
	Path []byte `json:"path"`
	// The error of the kernel, if there is none
	Error string `json:"error"`
}

type node struct {
	Path []byte `json:"path"`
	// directory, file, symlink or other
	Kind string `json:"kind"`
	// SHA-256 of a file, in hexadecimal
	Content string `json:"content"`
	Target  []byte `json:"target"`
}

// unpack does what core/diff/apply does with a layer of the overlayfs snapshotter. The lowest layer is mounted as a
// plain directory, for which it converts no whiteouts.
func unpack(directory string, lower []string, layer []byte) error {
	stream, err := compression.DecompressStream(bytes.NewReader(layer))
	if err != nil {
		return err
	}
	defer stream.Close()
	var options []archive.ApplyOpt
	if len(lower) > 0 {
		options = append(options, archive.WithConvertWhiteout(archive.OverlayConvertWhiteout), archive.WithParents(lower))
	}
	if _, err := archive.Apply(context.Background(), directory, stream, options...); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, stream)
	return err
}

func walk(root, path string, nodes *[]node) error {
	directory, err := os.Open(filepath.Join(root, path))
	if err != nil {
		return err
	}
	names, err := directory.Readdirnames(-1)
	directory.Close()
	if err != nil {
		return err
	}
	sort.Strings(names)
	for _, name := range names {
		inner := filepath.Join(path, name)
		full := filepath.Join(root, inner)
		info, err := os.Lstat(full)
		if errors.Is(err, fs.ErrNotExist) {
			// overlayfs lists whiteouts of a directory that only one layer has, but no lookup finds them.
			continue
		}
		if err != nil {
			return err
		}
		found := node{Path: []byte(inner), Kind: "other"}
		switch {
		case info.IsDir():
			found.Kind = "directory"
		case info.Mode().IsRegular():
			found.Kind = "file"
			content, err := os.ReadFile(full)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(content)
			found.Content = hex.EncodeToString(sum[:])
		case info.Mode()&fs.ModeSymlink != 0:
			found.Kind = "symlink"
			target, err := os.Readlink(full)
			if err != nil {
				return err
			}
			found.Target = []byte(target)
		}
		*nodes = append(*nodes, found)
		if info.IsDir() {
			if err := walk(root, inner, nodes); err != nil {
				return err
			}
		}
	}
	return nil
}

// resolve asks the kernel where a path leads to if the tree is the root.
func resolve(root string, path []byte) (resolved, error) {
	directory, err := os.Open(root)
	if err != nil {
		return resolved{}, err
	}
	defer directory.Close()
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT}
	found, err := unix.Openat2(int(directory.Fd()), string(path), &how)
	if err != nil {
		return resolved{Error: err.Error()}, nil
	}
	defer unix.Close(found)
	name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", found))
	if err != nil {
		return resolved{}, err
	}
	inner, isInside := strings.CutPrefix(name, root)
	if !isInside {
		return resolved{}, fmt.Errorf("%q leads to %q, outside %q", path, name, root)
	}
	return resolved{Path: []byte(strings.TrimPrefix(inner, "/"))}, nil
}

func look(merged string, paths [][]byte) (answer, error) {
	nodes := []node{}
	if err := walk(merged, "", &nodes); err != nil {
		return answer{}, err
	}
	places := []resolved{}
	for _, path := range paths {
		place, err := resolve(merged, path)
		if err != nil {
			return answer{}, err
		}
		places = append(places, place)
	}
	return answer{Tree: nodes, Resolved: places}, nil
}

func show(directory string, layers []string, paths [][]byte) (answer, error) {
	upper, work, merged := filepath.Join(directory, "upper"), filepath.Join(directory, "work"), filepath.Join(directory, "merged")
	for _, path := range []string{upper, work, merged} {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return answer{}, err
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", strings.Join(layers, ":"), upper, work)
	if err := syscall.Mount("overlay", merged, "overlay", 0, options); err != nil {
		return answer{}, fmt.Errorf("cannot mount overlay with %s: %w", options, err)
	}
	shown, err := look(merged, paths)
	if unmounted := syscall.Unmount(merged, 0); unmounted != nil {
		return answer{}, unmounted
	}
	return shown, err
}

func answers(directory string, image image) ([]answer, error) {
	var done []answer
	// The highest first, as in the options of a mount.
	var layers []string
	for number, layer := range image.Layers {
		path := filepath.Join(directory, strconv.Itoa(number))
		if err := os.Mkdir(path, 0o755); err != nil {
			return nil, err
		}
		if err := unpack(path, layers, layer); err != nil {
			return append(done, answer{Error: err.Error()}), nil
		}
		layers = append([]string{path}, layers...)
		shown, err := show(directory, layers, image.Paths)
		if err != nil {
			return nil, err
		}
		done = append(done, shown)
	}
	return done, nil
}

func run(directory string) error {
	if err := syscall.Mount("tmpfs", directory, "tmpfs", 0, "size=1g"); err != nil {
		return fmt.Errorf("cannot mount tmpfs: %w", err)
	}
	input, output := bufio.NewReader(os.Stdin), bufio.NewWriter(os.Stdout)
	decoder, encoder := json.NewDecoder(input), json.NewEncoder(output)
	for number := 0; ; number++ {
		var next image
		if err := decoder.Decode(&next); err == io.EOF {
			return output.Flush()
		} else if err != nil {
			return err
		}
		path := filepath.Join(directory, strconv.Itoa(number))
		if err := os.Mkdir(path, 0o755); err != nil {
			return err
		}
		done, err := answers(path, next)
		if err != nil {
			return fmt.Errorf("image %d: %w", number, err)
		}
		if err := encoder.Encode(done); err != nil {
			return err
		}
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
}

// confined runs this program again, in a mount namespace of its own.
func confined() error {
	directory, err := os.MkdirTemp("", "layers")
	if err != nil {
		return err
	}
	defer os.Remove(directory)
	program := exec.Command("/proc/self/exe", directory)
	program.Stdin, program.Stdout, program.Stderr = os.Stdin, os.Stdout, os.Stderr
	program.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	// containerd uses these programs if they are installed. What they accept differs.
	program.Env = append(os.Environ(), "CONTAINERD_DISABLE_PIGZ=1", "CONTAINERD_DISABLE_IGZIP=1")
	return program.Run()
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("layer-oracle: ")
	work := confined
	if len(os.Args) == 2 {
		work = func() error { return run(os.Args[1]) }
	}
	if err := work(); err != nil {
		log.Fatal(err)
	}
}
