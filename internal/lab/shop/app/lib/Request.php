<?php
declare(strict_types=1);

namespace Shop;

/** What the browser asked, as the edge passed it on. */
final class Request
{
    public string $method;
    public string $path;

    public function __construct()
    {
        $this->method = $_SERVER['REQUEST_METHOD'] ?? 'GET';
        $this->path = (string) parse_url($_SERVER['REQUEST_URI'] ?? '/', PHP_URL_PATH);
    }

    public function query(string $name): string
    {
        return is_string($_GET[$name] ?? null) ? self::clean($_GET[$name]) : '';
    }

    public function field(string $name): string
    {
        return is_string($_POST[$name] ?? null) ? self::clean($_POST[$name]) : '';
    }

    public function cookie(string $name): string
    {
        return is_string($_COOKIE[$name] ?? null) ? $_COOKIE[$name] : '';
    }

    public function header(string $name): string
    {
        return (string) ($_SERVER['HTTP_' . strtoupper(str_replace('-', '_', $name))] ?? '');
    }

    /** TLS ends at the edge, which sets X-Forwarded-Proto and removes what the browser sent under that name. */
    public function isSecure(): bool
    {
        return $this->header('X-Forwarded-Proto') === 'https';
    }

    /** The first address of X-Forwarded-For: the edge starts that header anew. */
    public function address(): string
    {
        $first = trim(explode(',', $this->header('X-Forwarded-For'))[0]);
        return filter_var($first, FILTER_VALIDATE_IP) ? $first : (string) ($_SERVER['REMOTE_ADDR'] ?? '0.0.0.0');
    }

    private static function clean(string $value): string
    {
        return mb_check_encoding($value, 'UTF-8') ? $value : '';
    }
}
