package shop

// Packages are the Debian packages that the role's layer needs for the shop, in both suites.
func Packages(role Role) []string {
	switch role {
	case Edge:
		return []string{"haproxy"}
	case Caching:
		return []string{"varnish"}
	case Webs:
		return []string{"apache2", "cron", "php-amqp", "php-cli", "php-fpm", "php-gd", "php-mbstring", "php-mysql", "php-redis", "supervisor"}
	case Redis:
		return []string{"redis-server"}
	case Database:
		return []string{"mariadb-server"}
	case Broker:
		return []string{"rabbitmq-server"}
	}
	return nil
}

// Units are the systemd units that must be enabled on a host of the role, and no others of the role's packages.
func Units(role Role, suite Suite) []string {
	switch role {
	case Edge:
		return []string{"haproxy.service"}
	case Caching:
		return []string{"varnish.service"}
	case Webs:
		return []string{"apache2.service", "cron.service", "php" + suite.PHP() + "-fpm.service", "supervisor.service"}
	case Redis:
		return []string{"redis-server@6379.service", "redis-server@6380.service"}
	case Database:
		return []string{"mariadb.service"}
	case Broker:
		return []string{"rabbitmq-server.service"}
	}
	return nil
}

// apacheModules are the modules that the virtual host needs beyond those that Debian enables by itself.
func apacheModules() []string {
	return []string{"headers", "proxy", "proxy_fcgi"}
}
