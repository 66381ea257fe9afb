<?php
declare(strict_types=1);

// Once a minute: deletes carts past their date, and offers orders to the queue again that nobody confirmed.

require __DIR__ . '/../lib/autoload.php';

use Shop\Carts;
use Shop\Config;
use Shop\Database;
use Shop\Orders;
use Shop\Queue;
use Shop\Session;

try {
    $config = Config::load();
    $database = new Database($config);
    $queue = new Queue($config);
    $carts = new Carts($database, new Session($config, $database));
    $expired = $carts->expire(500);
    $reminded = (new Orders($database, $carts, $queue))->remind(200);
    $queue->close();
    printf("%s carts expired: %d, orders reminded: %d\n", gmdate('c'), $expired, $reminded);
} catch (Throwable $e) {
    fwrite(STDERR, sprintf("%s error: %s at %s:%d\n", gmdate('c'), $e->getMessage(), basename($e->getFile()), $e->getLine()));
    exit(1);
}
