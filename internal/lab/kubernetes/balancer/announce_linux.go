package balancer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// announce sends a gratuitous ARP request (RFC 5227, section 3) from a device of a network namespace: whoever knew the address elsewhere learns where it is now.
func announce(netns *os.File, device string, addr netip.Addr) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Setns(int(netns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- sendARP(device, addr)
	}()
	if err := <-done; err != nil {
		return fmt.Errorf("announce %s: %w", addr, err)
	}
	return nil
}

func sendARP(device string, addr netip.Addr) (err error) {
	dev, err := net.InterfaceByName(device)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	ip := addr.As4()
	// Ethernet, IPv4, lengths, request; who says it; whom it asks for: itself (RFC 826).
	packet := []byte{0, 1, 8, 0, 6, 4, 0, 1}
	packet = append(packet, dev.HardwareAddr...)
	packet = append(packet, ip[:]...)
	packet = append(packet, 0, 0, 0, 0, 0, 0)
	packet = append(packet, ip[:]...)
	to := unix.SockaddrLinklayer{Ifindex: dev.Index, Halen: 6, Addr: [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}
	to.Protocol = binary.NativeEndian.Uint16([]byte{unix.ETH_P_ARP >> 8, unix.ETH_P_ARP & 0xff})
	return unix.Sendto(fd, packet, 0, &to)
}
