<?php
declare(strict_types=1);

namespace Shop;

use RuntimeException;

/**
 * Settings from one ini file (SHOP_CONFIG, default /etc/shop/shop.ini), overridden by the environment:
 * "database.host" is SHOP_DATABASE_HOST there. A key with the suffix _file names a file that holds the
 * value, so that a secret need not be in the ini file or in the environment.
 */
final class Config
{
    /** @var array<string,string> */
    private array $values;

    private function __construct(array $values)
    {
        $this->values = $values;
    }

    public static function load(): self
    {
        $path = getenv('SHOP_CONFIG') ?: '/etc/shop/shop.ini';
        $sections = @parse_ini_file($path, true, INI_SCANNER_RAW);
        if ($sections === false) {
            throw new RuntimeException("cannot read the configuration $path");
        }
        $values = [];
        foreach ($sections as $section => $keys) {
            if (!is_array($keys)) {
                throw new RuntimeException("$path: $section stands outside any section");
            }
            foreach ($keys as $key => $value) {
                $values["$section.$key"] = (string) $value;
            }
        }
        return new self($values);
    }

    public function get(string $key, ?string $default = null): string
    {
        $value = $this->find($key);
        if ($value !== null) {
            return $value;
        }
        $file = $this->find($key . '_file');
        if ($file !== null) {
            $value = @file_get_contents($file);
            if ($value === false) {
                throw new RuntimeException("cannot read $file, which holds $key");
            }
            return rtrim($value, "\r\n");
        }
        if ($default === null) {
            throw new RuntimeException("the configuration lacks $key");
        }
        return $default;
    }

    private function find(string $key): ?string
    {
        $env = getenv('SHOP_' . strtoupper(str_replace('.', '_', $key)));
        if ($env !== false && $env !== '') {
            return $env;
        }
        $value = $this->values[$key] ?? '';
        return $value === '' ? null : $value;
    }
}
