<?php
declare(strict_types=1);

namespace Shop;

/** The request can't be done as it stands: the visitor is told why (status 4xx). */
final class Refused extends \RuntimeException
{
    public int $status;

    public function __construct(int $status, string $message)
    {
        parent::__construct($message);
        $this->status = $status;
    }
}
