<?php
declare(strict_types=1);

namespace Shop;

/** Small pictures, made by the worker: a file beside the assets, and a tiny one in the product's row. */
final class Thumbnails
{
    private Config $config;
    private Database $database;

    public function __construct(Config $config, Database $database)
    {
        $this->config = $config;
        $this->database = $database;
    }

    public static function path(int $product): string
    {
        return sprintf('thumbs/%02x/%d.png', $product % 256, $product);
    }

    /** False when the product or its picture is gone: the job can never be done. */
    public function make(int $product): bool
    {
        $row = $this->database->row('SELECT image_path FROM products WHERE id = ?', [$product]);
        if ($row === null || $row['image_path'] === null) {
            return false;
        }
        $root = $this->config->get('assets.path', '/srv/assets');
        $data = @file_get_contents($root . '/' . $row['image_path']);
        $image = $data === false ? false : @imagecreatefromstring($data);
        if ($image === false) {
            return false;
        }
        $this->store($root . '/' . self::path($product), self::png($image, 160));
        $this->database->run('UPDATE products SET thumbnail = ? WHERE id = ?', [self::png($image, 32), $product]);
        imagedestroy($image);
        return true;
    }

    /** @param resource|\GdImage $image */
    private static function png($image, int $width): string
    {
        $small = imagescale($image, $width);
        ob_start();
        imagepng($small, null, 6);
        imagedestroy($small);
        return (string) ob_get_clean();
    }

    /** A reader sees the old file or the new one, never a part. */
    private function store(string $path, string $data): void
    {
        $directory = dirname($path);
        if (!is_dir($directory) && !@mkdir($directory, 0755, true) && !is_dir($directory)) {
            throw new Unavailable("cannot make $directory");
        }
        $part = $path . '.' . gethostname() . '.part';
        if (@file_put_contents($part, $data) !== strlen($data) || !@rename($part, $path)) {
            throw new Unavailable("cannot write $path");
        }
    }
}
