// Package image makes container images from the lab's own root file systems: the layers that the lab's hosts run on, then a layer of small files.
// There is no registry and no build engine: the layers become tar archives, go-containerregistry makes configurations and manifests
// of them, and containerd imports the lot once into a store of its own. That store is kept in a cache, by a hash of all that is in it, and laid
// under every node of every cluster without copying ([Set.Lay]).
//
// It knows no shop and no cluster, and imports machine, rootfs and progress alone of the lab.
package image
