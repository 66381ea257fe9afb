<?php
declare(strict_types=1);

namespace Shop;

use PDO;
use PDOException;
use PDOStatement;

/** One connection to MariaDB or MySQL, made at first use. */
final class Database
{
    private const DEADLOCK = 1213;
    private const LOCK_WAIT = 1205;
    private const READ_ONLY = [1290, 1836];
    private const GONE = [2002, 2006, 2013, 1053];

    private Config $config;
    private ?PDO $pdo = null;

    public function __construct(Config $config)
    {
        $this->config = $config;
    }

    public function run(string $sql, array $parameters = []): PDOStatement
    {
        $statement = $this->pdo()->prepare($sql);
        foreach (array_values($parameters) as $i => $value) {
            $statement->bindValue($i + 1, $value, is_int($value) ? PDO::PARAM_INT : ($value === null ? PDO::PARAM_NULL : PDO::PARAM_STR));
        }
        $statement->execute();
        return $statement;
    }

    public function row(string $sql, array $parameters = []): ?array
    {
        $row = $this->run($sql, $parameters)->fetch();
        return $row === false ? null : $row;
    }

    public function rows(string $sql, array $parameters = []): array
    {
        return $this->run($sql, $parameters)->fetchAll();
    }

    public function lastId(): int
    {
        return (int) $this->pdo()->lastInsertId();
    }

    /**
     * Runs $work in a transaction and returns its result after the commit. A deadlock or a lock wait rolled
     * everything back, so the work is repeated, at most three times; an error of the commit itself is thrown.
     */
    public function transaction(callable $work)
    {
        for ($attempt = 1;; $attempt++) {
            $pdo = $this->pdo();
            $pdo->beginTransaction();
            try {
                $result = $work();
            } catch (\Throwable $e) {
                $this->rollBack();
                if ($attempt < 3 && in_array(self::code($e), [self::DEADLOCK, self::LOCK_WAIT], true)) {
                    usleep(random_int(5000, 30000));
                    continue;
                }
                throw $e;
            }
            $pdo->commit();
            return $result;
        }
    }

    /** Whether the server refused a write because it is frozen (read_only). */
    public static function isReadOnly(\Throwable $e): bool
    {
        return in_array(self::code($e), self::READ_ONLY, true);
    }

    public static function isDuplicate(\Throwable $e): bool
    {
        return self::code($e) === 1062;
    }

    /** Whether the connection is lost; forget() makes the next use dial again. */
    public static function isGone(\Throwable $e): bool
    {
        return in_array(self::code($e), self::GONE, true);
    }

    public function forget(): void
    {
        $this->pdo = null;
    }

    private static function code(\Throwable $e): int
    {
        return $e instanceof PDOException && isset($e->errorInfo[1]) ? (int) $e->errorInfo[1] : 0;
    }

    private function rollBack(): void
    {
        try {
            if ($this->pdo !== null && $this->pdo->inTransaction()) {
                $this->pdo->rollBack();
            }
        } catch (PDOException $e) {
            $this->pdo = null; // the connection is gone, and the transaction with it
        }
    }

    private function pdo(): PDO
    {
        if ($this->pdo === null) {
            $dsn = sprintf(
                'mysql:host=%s;port=%d;dbname=%s;charset=utf8mb4',
                $this->config->get('database.host'),
                (int) $this->config->get('database.port', '3306'),
                $this->config->get('database.name', 'shop')
            );
            $options = [
                PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
                PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC,
                // Binary values must not pass through the server's parser as utf8mb4 literals.
                PDO::ATTR_EMULATE_PREPARES => false,
                PDO::ATTR_TIMEOUT => 3,
                // Counts rows that a WHERE matched, not those that changed value: the guard on stock depends on it.
                PDO::MYSQL_ATTR_FOUND_ROWS => true,
                PDO::MYSQL_ATTR_INIT_COMMAND => "SET SESSION time_zone = '+00:00', sql_mode = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
            ];
            $ca = $this->config->get('database.ca', '');
            if ($ca !== '') {
                // mysqlnd then checks the chain and the name in the certificate against database.host.
                $options[PDO::MYSQL_ATTR_SSL_CA] = $ca;
                $options[PDO::MYSQL_ATTR_SSL_VERIFY_SERVER_CERT] = true;
            }
            $this->pdo = new PDO($dsn, $this->config->get('database.user'), $this->config->get('database.password'), $options);
        }
        return $this->pdo;
    }
}
