package slots

import "fmt"

const caveatUnknown = "it is not known whether this file system overwrites in place: what is destroyed may stay on the device until its block is used again"

func caveatCopies(name string) string {
	return fmt.Sprintf("the file system (%s) copies on write: what is destroyed may stay on the device until its block is used again, and in snapshots", name)
}

func caveatRemote(name string) string {
	return fmt.Sprintf("the file system (%s) stands for another one that cannot be seen from here: what is destroyed may stay there", name)
}
