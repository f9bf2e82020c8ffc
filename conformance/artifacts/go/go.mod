module bailiff.dev/conformance/web

go 1.26.0

require golang.org/x/net v0.1.0
