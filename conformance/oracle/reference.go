package main

import (
	// The digests that containerd links, and so accepts.
	_ "crypto/sha256"
	_ "crypto/sha512"

	images "github.com/distribution/reference"
)

// normalized is an image reference as containerd's CRI plugin normalizes it.
func normalized(text string) answer {
	named, err := images.ParseDockerRef(text)
	if err != nil {
		return answer{"invalid": err.Error()}
	}
	told := answer{
		"normal":     named.String(),
		"repository": named.Name(),
		"domain":     images.Domain(named),
	}
	if tagged, ok := named.(images.Tagged); ok {
		told["tag"] = tagged.Tag()
	}
	if digested, ok := named.(images.Digested); ok {
		told["digest"] = digested.Digest().String()
	}
	return told
}
