//go:build !linux

package main

func notDumpable() {}

// swapAdvice is empty where the system encrypts its swap (macOS) or does not
// tell.
func swapAdvice() string { return "" }
