<?php
declare(strict_types=1);

// Classes of the shop live in the namespace Shop, one per file in this directory.
spl_autoload_register(static function (string $class): void {
    if (strncmp($class, 'Shop\\', 5) === 0) {
        $file = __DIR__ . '/' . str_replace('\\', '/', substr($class, 5)) . '.php';
        if (is_file($file)) {
            require $file;
        }
    }
});

mb_internal_encoding('UTF-8');
date_default_timezone_set('UTC');
