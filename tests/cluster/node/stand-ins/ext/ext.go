// Package ext has the two types by which Traefik's configuration can be extended, empty as in
// Traefik itself: the archive of its module lacks this one.
package ext

// HTTP extends the HTTP configuration.
type HTTP struct{}

// DeepCopyInto copies nothing.
func (*HTTP) DeepCopyInto(*HTTP) {}

// Router extends a router.
type Router struct{}

// DeepCopyInto copies nothing.
func (*Router) DeepCopyInto(*Router) {}
