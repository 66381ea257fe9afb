package shop

// An Image is what a pod of the shop runs from: the root filesystem of a role in bookworm, and some files on top.
// Configuration and secrets come with the pod, and so does the command: Command is for trying the image by hand.
type Image struct {
	Name    string // the last part of its repository: shop/web has "web"
	Role    Role   // whose packages it needs
	Files   []File
	Command []string
	User    string   // uid:gid by number, as the chart runs it
	Ports   []string // for people: the chart's ports count
}

// nobody owns nothing in any image: what runs as this user can write to its volumes only.
const nobody = "10001:10001"

// Images are all images of the chart in steps/release/chart; the chart's values name them.
func Images() []Image {
	return []Image{
		{Name: "haproxy", Role: Edge, Command: []string{"/usr/sbin/haproxy", "-v"}, User: nobody, Ports: []string{"8080/tcp", "8443/tcp"}},
		{Name: "varnish", Role: Caching, Command: []string{"/usr/sbin/varnishd", "-V"}, User: nobody, Ports: []string{"6081/tcp"}},
		{Name: "web", Role: Webs, Files: appFiles(), Command: []string{"/usr/bin/php", "-v"}, User: "33:33", Ports: []string{"8080/tcp"}},
		{Name: "redis", Role: Redis, Command: []string{"/usr/bin/redis-server", "--version"}, User: nobody, Ports: []string{"6379/tcp", "6380/tcp"}},
		{Name: "rabbitmq", Role: Broker, Command: []string{"/usr/lib/rabbitmq/bin/rabbitmq-server"}, User: nobody, Ports: []string{"5672/tcp"}},
	}
}
