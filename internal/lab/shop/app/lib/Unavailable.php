<?php
declare(strict_types=1);

namespace Shop;

/** Something the shop needs doesn't answer: status 503. */
final class Unavailable extends \RuntimeException
{
}
