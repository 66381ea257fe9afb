<?php
declare(strict_types=1);

namespace Shop;

use Redis;

/**
 * PHP's own session in the second Redis. It is started only for a visitor who has a cookie, or whom a page must
 * remember: pages that don't need it stay free of cookies, so that Varnish can keep them.
 */
final class Session
{
    public const COOKIE = 'SHOPSESSION';

    private Config $config;
    private Database $database;
    private bool $started = false;

    public function __construct(Config $config, Database $database)
    {
        $this->config = $config;
        $this->database = $database;
    }

    public function resume(Request $request): void
    {
        if ($request->cookie(self::COOKIE) !== '') {
            $this->start($request);
        }
    }

    public function start(Request $request): void
    {
        if ($this->started) {
            return;
        }
        $password = $this->config->get('sessions.password', '');
        ini_set('session.save_handler', 'redis');
        ini_set('session.save_path', sprintf(
            'tcp://%s:%d?timeout=2&read_timeout=2&prefix=session:%s',
            $this->config->get('sessions.host'),
            (int) $this->config->get('sessions.port', '6380'),
            $password === '' ? '' : '&auth=' . rawurlencode($password)
        ));
        ini_set('redis.session.locking_enabled', '1');
        ini_set('redis.session.lock_retries', '200');
        ini_set('redis.session.lock_wait_time', '10000');
        ini_set('session.use_strict_mode', '1');
        ini_set('session.gc_maxlifetime', '86400');
        session_name(self::COOKIE);
        session_cache_limiter('');
        session_set_cookie_params(['path' => '/', 'httponly' => true, 'samesite' => 'Lax', 'secure' => $request->isSecure()]);
        if (!session_start()) {
            throw new Unavailable('the session store does not answer');
        }
        $this->started = true;
        if (!isset($_SESSION['csrf'])) {
            $_SESSION['csrf'] = bin2hex(random_bytes(16));
            $this->log($request);
        }
    }

    public function started(): bool
    {
        return $this->started;
    }

    public function get(string $key): ?string
    {
        return $this->started && isset($_SESSION[$key]) ? (string) $_SESSION[$key] : null;
    }

    public function set(string $key, ?string $value): void
    {
        if ($value === null) {
            unset($_SESSION[$key]);
        } else {
            $_SESSION[$key] = $value;
        }
    }

    public function customer(): ?int
    {
        $id = $this->get('customer');
        return $id === null ? null : (int) $id;
    }

    /** Writes the session before the answer is sent: what the answer says has then been kept. */
    public function save(): void
    {
        if ($this->started && session_status() === PHP_SESSION_ACTIVE && !session_write_close()) {
            throw new Unavailable('the session could not be written');
        }
    }

    /** A new id after login, so that an id planted before it is worth nothing. */
    public function renew(): void
    {
        session_regenerate_id(true);
    }

    public function destroy(): void
    {
        $_SESSION = [];
        session_destroy();
        $this->started = false;
    }

    /** Throws when the session store doesn't answer. */
    public function ping(): void
    {
        $redis = new Redis();
        $redis->connect($this->config->get('sessions.host'), (int) $this->config->get('sessions.port', '6380'), 1.0, null, 0, 1.0);
        $password = $this->config->get('sessions.password', '');
        if ($password !== '') {
            $redis->auth($password);
        }
        $redis->ping();
    }

    private function log(Request $request): void
    {
        try {
            $load = sys_getloadavg();
            $this->database->run(
                'INSERT INTO session_log (session_hash, customer_id, address, user_agent, load_average) VALUES (?, ?, ?, ?, ?)',
                [md5((string) session_id(), true), $this->customer(), inet_pton($request->address()) ?: '', mb_substr($request->header('User-Agent'), 0, 255), (string) round($load[0] ?? 0, 2)]
            );
        } catch (\PDOException $e) {
            if (!Database::isReadOnly($e)) {
                throw $e;
            }
        }
    }
}
