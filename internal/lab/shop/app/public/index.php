<?php
declare(strict_types=1);

require __DIR__ . '/../lib/autoload.php';

use Shop\Config;
use Shop\Request;
use Shop\Response;
use Shop\Shop;

ini_set('display_errors', '0');
ini_set('log_errors', '1');
set_error_handler(static function (int $level, string $message, string $file, int $line): bool {
    if (error_reporting() & $level) {
        throw new ErrorException($message, 0, $level, $file, $line);
    }
    return true; // silenced by @ where the caller looks at the result
});

try {
    $response = (new Shop(Config::load()))->answer(new Request());
} catch (Throwable $e) {
    error_log('shop: ' . get_class($e) . ': ' . $e->getMessage() . ' at ' . basename($e->getFile()) . ':' . $e->getLine());
    $response = new Response(500, "Something broke.\n", ['Content-Type' => 'text/plain; charset=utf-8']);
}
$response->send();
