package kubernetes

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"path"

	"github.com/slipway-dev/slipway/internal/lab/machine"
)

// configDir is where the machines' processes find their configuration and keys.
const configDir = "/etc/kubernetes"

// secret is a file that root alone reads.
func secret(name string, content []byte) machine.File {
	return machine.File{Path: path.Join(configDir, name), Mode: 0o600, Content: content}
}

func config(name, content string) machine.File {
	return machine.File{Path: path.Join(configDir, name), Mode: 0o644, Content: []byte(content)}
}

// kubeconfig is how a process of the cluster reaches the API server and who it is there.
func kubeconfig(server netip.AddrPort, ca []byte, who pair) []byte {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: lab, cluster: {server: "https://%s", certificate-authority-data: %s}}]
users: [{name: self, user: {client-certificate-data: %s, client-key-data: %s}}]
contexts: [{name: lab, context: {cluster: lab, user: self}}]
current-context: lab
`, server, b64(ca), b64(who.Cert), b64(who.Key))
}

// webhookConfig tells the API server whom to ask about a bearer token that it does not know itself.
func webhookConfig(w Webhook) []byte {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: cloud, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: apiserver, user: {}}]
contexts: [{name: cloud, context: {cluster: cloud, user: apiserver}}]
current-context: cloud
`, w.URL, base64.StdEncoding.EncodeToString(w.CA))
}
