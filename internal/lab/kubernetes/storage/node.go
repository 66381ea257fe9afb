package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/slipway-dev/slipway/internal/lab/machine"
)

// Node is a machine that runs a kubelet.
type Node struct {
	Name    string // as Kubernetes knows it
	Machine *machine.Machine
	Kubelet string // the kubelet's root directory (kubeletDir in the machine), as this computer sees it
}

// kubeletDir is a kubelet's root directory, as the machine sees it.
const kubeletDir = "/var/lib/kubelet"

// nodeServer is the node's part of a CSI driver (container-storage-interface/spec, "Node Service RPC"): it mounts, in the machine's own mount namespace.
type nodeServer struct {
	csi.UnimplementedNodeServer
	driver  driver
	node    Node
	volumes *volumes
}

func (s *nodeServer) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	// 127 is what Google attaches to most machine types.
	return &csi.NodeGetInfoResponse{NodeId: s.node.Name, MaxVolumesPerNode: 127}, nil
}

func (s *nodeServer) NodeGetCapabilities(context.Context, *csi.NodeGetCapabilitiesRequest) (*csi.NodeGetCapabilitiesResponse, error) {
	return &csi.NodeGetCapabilitiesResponse{Capabilities: []*csi.NodeServiceCapability{{Type: &csi.NodeServiceCapability_Rpc{
		Rpc: &csi.NodeServiceCapability_RPC{Type: csi.NodeServiceCapability_RPC_STAGE_UNSTAGE_VOLUME}}}}}, nil
}

// NodeStageVolume mounts the volume once for the node.
func (s *nodeServer) NodeStageVolume(ctx context.Context, r *csi.NodeStageVolumeRequest) (*csi.NodeStageVolumeResponse, error) {
	if r.GetVolumeCapability().GetMount() == nil {
		return nil, status.Error(codes.InvalidArgument, "volumes are file systems, not devices")
	}
	if !s.driver.attach {
		// Nobody attaches a share: a node gets it with its first use there.
		if err := s.volumes.attach(r.GetVolumeId(), s.node, false); err != nil {
			return nil, asStatus(err)
		}
	}
	device := devicePath(r.GetVolumeId())
	if _, err := os.Stat(inMachine(s.node.Machine, device)); errors.Is(err, fs.ErrNotExist) {
		return nil, status.Errorf(codes.FailedPrecondition, "volume %s is not attached to node %s", r.GetVolumeId(), s.node.Name)
	}
	target := r.GetStagingTargetPath()
	if there, err := mounted(s.node.Machine, target); there || err != nil {
		return &csi.NodeStageVolumeResponse{}, asStatus(err)
	}
	// noinit_itable: nobody fills the unused tables of a sparse file in the background.
	err := s.run(ctx, []string{"mkdir", "-p", target}, []string{"mount", "-t", "ext4", "-o", "noinit_itable", device, target})
	return &csi.NodeStageVolumeResponse{}, asStatus(err)
}

// NodeUnstageVolume takes the node's mount away.
func (s *nodeServer) NodeUnstageVolume(ctx context.Context, r *csi.NodeUnstageVolumeRequest) (*csi.NodeUnstageVolumeResponse, error) {
	if err := s.unmount(ctx, r.GetStagingTargetPath()); err != nil {
		return nil, asStatus(err)
	}
	if !s.driver.attach {
		if err := s.volumes.detach(r.GetVolumeId(), s.node); err != nil {
			return nil, asStatus(err)
		}
	}
	return &csi.NodeUnstageVolumeResponse{}, nil
}

// NodePublishVolume shows the volume to a pod.
func (s *nodeServer) NodePublishVolume(ctx context.Context, r *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	target := r.GetTargetPath()
	if there, err := mounted(s.node.Machine, target); there || err != nil {
		return &csi.NodePublishVolumeResponse{}, asStatus(err)
	}
	commands := [][]string{{"mkdir", "-p", target}, {"mount", "--bind", r.GetStagingTargetPath(), target}}
	if r.GetReadonly() {
		commands = append(commands, []string{"mount", "-o", "remount,bind,ro", target})
	}
	if err := s.run(ctx, commands...); err != nil {
		return nil, asStatus(errors.Join(err, s.unmount(ctx, target)))
	}
	return &csi.NodePublishVolumeResponse{}, nil
}

// NodeUnpublishVolume takes it away from the pod.
func (s *nodeServer) NodeUnpublishVolume(ctx context.Context, r *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	return &csi.NodeUnpublishVolumeResponse{}, asStatus(s.unmount(ctx, r.GetTargetPath()))
}

// unmount is done when nothing is mounted at the path and the path is gone.
func (s *nodeServer) unmount(ctx context.Context, path string) error {
	there, err := mounted(s.node.Machine, path)
	if err != nil {
		return err
	}
	if there {
		if err := s.run(ctx, []string{"umount", path}); err != nil {
			return err
		}
	}
	if err := os.Remove(inMachine(s.node.Machine, path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// run runs programs in the node, one after the other.
func (s *nodeServer) run(ctx context.Context, commands ...[]string) error {
	for _, argv := range commands {
		if err := s.node.Machine.Run(ctx, machine.Cmd{Argv: argv}); err != nil {
			return err
		}
	}
	return nil
}

// asStatus gives an error the code that a kubelet goes by. None stays none.
func asStatus(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errElsewhere):
		return status.Error(codes.FailedPrecondition, err.Error())
	case errors.Is(err, errNoVolume):
		return status.Error(codes.NotFound, err.Error())
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return status.Error(codes.DeadlineExceeded, err.Error())
	}
	return status.Error(codes.Internal, err.Error())
}

// identityServer says what the driver is.
type identityServer struct {
	csi.UnimplementedIdentityServer
	driver driver
}

func (s identityServer) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: s.driver.name, VendorVersion: "1"}, nil
}

func (s identityServer) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	return &csi.GetPluginCapabilitiesResponse{}, nil
}

func (s identityServer) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{}, nil
}

// describe names a node's driver in errors.
func (s *nodeServer) describe() string {
	return fmt.Sprintf("driver %s of node %s", s.driver.name, s.node.Name)
}
