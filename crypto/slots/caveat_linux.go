package slots

import (
	"os"

	"golang.org/x/sys/unix"
)

func caveat(f *os.File) string {
	var st unix.Statfs_t
	for {
		err := unix.Fstatfs(int(f.Fd()), &st)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return caveatUnknown
		}
		return caveatOf(uint32(st.Type))
	}
}

// Kinds of file system that golang.org/x/sys does not name, from the kernel's and
// the projects' own headers.
const (
	zfsMagic      = 0x2fc12fc1
	bcachefsMagic = 0xca451a4e
	ntfs3Magic    = 0x7366746e
)

// caveatOf knows the file systems that write where they were told to, and those
// that do not. Of all others nothing is promised.
func caveatOf(magic uint32) string {
	switch magic {
	case unix.EXT4_SUPER_MAGIC, // ext2, ext3 and ext4 share it
		unix.XFS_SUPER_MAGIC, unix.MSDOS_SUPER_MAGIC, unix.EXFAT_SUPER_MAGIC,
		ntfs3Magic, unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		return ""
	case unix.BTRFS_SUPER_MAGIC:
		return caveatCopies("btrfs")
	case zfsMagic:
		return caveatCopies("ZFS")
	case bcachefsMagic:
		return caveatCopies("bcachefs")
	case unix.F2FS_SUPER_MAGIC:
		return caveatCopies("F2FS")
	case unix.NILFS_SUPER_MAGIC:
		return caveatCopies("NILFS2")
	case unix.OVERLAYFS_SUPER_MAGIC:
		return caveatCopies("overlay")
	case unix.NFS_SUPER_MAGIC:
		return caveatRemote("NFS")
	case unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC:
		return caveatRemote("SMB")
	case unix.V9FS_MAGIC:
		return caveatRemote("9P")
	case unix.FUSE_SUPER_MAGIC:
		return caveatRemote("FUSE")
	}
	return caveatUnknown
}
