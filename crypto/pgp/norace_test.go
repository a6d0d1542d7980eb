//go:build !race

package pgp_test

const raced = false
