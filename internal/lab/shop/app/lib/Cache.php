<?php
declare(strict_types=1);

namespace Shop;

use Redis;
use RedisException;

/** The application cache. Losing it costs time and nothing else: its errors are logged and count as a miss. */
final class Cache
{
    private const PREFIX = 'shop:1:';

    private Config $config;
    private ?Redis $redis = null;
    private bool $down = false;

    public function __construct(Config $config)
    {
        $this->config = $config;
    }

    /** Returns what $make made at most $seconds ago. */
    public function remember(string $key, int $seconds, callable $make)
    {
        $cached = $this->call(static fn (Redis $r) => $r->get(self::PREFIX . $key));
        if (is_string($cached)) {
            return json_decode($cached, true, 64, JSON_THROW_ON_ERROR);
        }
        $value = $make();
        $encoded = json_encode($value, JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE);
        $this->call(static fn (Redis $r) => $r->setex(self::PREFIX . $key, $seconds, $encoded));
        return $value;
    }

    /** True for the first caller within $seconds, and for every caller while the cache is down. */
    public function first(string $key, int $seconds): bool
    {
        $set = $this->call(static fn (Redis $r) => $r->set(self::PREFIX . $key, '1', ['nx', 'ex' => $seconds]) ? 'first' : 'later');
        return $set !== 'later';
    }

    /** Throws when the cache doesn't answer. */
    public function ping(): void
    {
        $this->redis()->ping();
    }

    private function call(callable $use)
    {
        if ($this->down) {
            return null;
        }
        try {
            return $use($this->redis());
        } catch (RedisException $e) {
            $this->down = true; // once per request is enough to wait for it
            error_log('shop: cache: ' . $e->getMessage());
            return null;
        }
    }

    private function redis(): Redis
    {
        if ($this->redis === null) {
            $redis = new Redis();
            $redis->connect($this->config->get('cache.host'), (int) $this->config->get('cache.port', '6379'), 1.0, null, 0, 1.0);
            $password = $this->config->get('cache.password', '');
            if ($password !== '') {
                $redis->auth($password);
            }
            $this->redis = $redis;
        }
        return $this->redis;
    }
}
