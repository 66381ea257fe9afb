// Package balancer gives Services of type LoadBalancer an address outside the cluster, as a cloud's load balancer does: an address of a range of the lab's bridge, which
// one healthy node answers for. The node is chosen and watched by the health checks that Google's load balancers make: kube-proxy's own for Services
// that any node forwards (externalTrafficPolicy Cluster), the Service's health check port where only nodes with a ready pod may (Local). When the node
// stops passing, the address moves to one that does.
//
// What the node does with a packet for the address is kube-proxy's business, as in a real cloud.
// The package imports network alone of the lab.
package balancer
