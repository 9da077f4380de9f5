// The path lies below kind's own so that its loader and validation, internal packages, may be imported.
module sigs.k8s.io/kind/pkg/kindcheck

go 1.26

require sigs.k8s.io/kind v0.33.0

require (
	github.com/pkg/errors v0.9.1 // indirect
	go.yaml.in/yaml/v3 v3.0.4 // indirect
)
