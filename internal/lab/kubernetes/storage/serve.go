package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// serve answers a node's kubelet as its CSI driver, until ctx ends. Registered says that the kubelet took it.
func (s *nodeServer) serve(ctx context.Context, registered func()) error {
	plugin := filepath.Join("plugins", s.driver.name)
	server := grpc.NewServer()
	csi.RegisterNodeServer(server, s)
	csi.RegisterIdentityServer(server, identityServer{driver: s.driver})
	registrar := grpc.NewServer()
	registration.RegisterRegistrationServer(registrar, registrationServer{
		info:       &registration.PluginInfo{Type: registration.CSIPlugin, Name: s.driver.name, Endpoint: filepath.Join(kubeletDir, plugin, "csi.sock"), SupportedVersions: []string{"1.0.0"}},
		registered: registered,
	})
	driverSocket, err := listenUnix(filepath.Join(s.node.Kubelet, plugin), "csi.sock")
	if err != nil {
		return fmt.Errorf("%s: %w", s.describe(), err)
	}
	// The kubelet watches this directory and calls back: it comes last.
	registerSocket, err := listenUnix(filepath.Join(s.node.Kubelet, "plugins_registry"), s.driver.name+"-reg.sock")
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", s.describe(), err), driverSocket.Close())
	}
	ended := make(chan error, 2)
	go func() { ended <- server.Serve(driverSocket) }()
	go func() { ended <- registrar.Serve(registerSocket) }()
	stop := context.AfterFunc(ctx, func() { server.Stop(); registrar.Stop() })
	defer stop()
	err = <-ended
	server.Stop()
	registrar.Stop()
	err = errors.Join(err, <-ended)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%s: %w", s.describe(), err)
	}
	return nil
}

// listenUnix listens at dir/name. A socket's path has at most 107 bytes and this computer's is longer than the machine's: the directory is named by a descriptor.
func listenUnix(dir, name string) (net.Listener, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), name)})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // the descriptor in its name is closed by then; the directory goes with the machine
	return l, nil
}

// registrationServer introduces a driver to a kubelet (k8s.io/kubelet, pluginregistration/v1).
type registrationServer struct {
	registration.UnimplementedRegistrationServer
	info       *registration.PluginInfo
	registered func()
}

func (s registrationServer) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return s.info, nil
}

func (s registrationServer) NotifyRegistrationStatus(_ context.Context, r *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	if r.GetPluginRegistered() {
		s.registered()
	}
	return &registration.RegistrationStatusResponse{}, nil
}
