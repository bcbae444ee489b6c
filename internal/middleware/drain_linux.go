package middleware

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// dropSYN is a program of the Berkeley Packet Filter. It drops the first packet
// of each new connection, which has the flag SYN and not ACK.
var dropSYN = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13}, // the flags of the TCP header
	{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 0x12},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: 0x02},
	{Code: unix.BPF_RET | unix.BPF_K, K: 1<<32 - 1}, // the whole packet
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
}

// ignoreNewClients makes a listening socket ignore clients that begin to connect.
func ignoreNewClients(socket syscall.RawConn) {
	_ = socket.Control(func(fd uintptr) {
		_ = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(dropSYN)), Filter: &dropSYN[0]})
	})
}
