-- A small schema with what old applications have: views over views, triggers, routines, ENUM, SET, full text, self-made history.
CREATE TABLE country (id SMALLINT UNSIGNED NOT NULL AUTO_INCREMENT, name VARCHAR(50) NOT NULL, updated TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, PRIMARY KEY (id)) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE customer (id SMALLINT UNSIGNED NOT NULL AUTO_INCREMENT, country SMALLINT UNSIGNED NOT NULL, name VARCHAR(45) NOT NULL, active BOOLEAN NOT NULL DEFAULT TRUE, made DATETIME NOT NULL,
  PRIMARY KEY (id), KEY country (country), CONSTRAINT customer_country FOREIGN KEY (country) REFERENCES country (id) ON UPDATE CASCADE) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE film (id SMALLINT UNSIGNED NOT NULL AUTO_INCREMENT, title VARCHAR(255) NOT NULL, text TEXT, year YEAR, rate DECIMAL(4,2) NOT NULL DEFAULT 4.99,
  rating ENUM('G','PG','R') DEFAULT 'G', extras SET('Trailers','Commentaries') DEFAULT NULL, secret VARCHAR(40) BINARY DEFAULT NULL, PRIMARY KEY (id), KEY title (title)) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE film_text (film SMALLINT UNSIGNED NOT NULL, title VARCHAR(255) NOT NULL, text TEXT, PRIMARY KEY (film), FULLTEXT KEY words (title, text)) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE VIEW customer_list AS SELECT cu.id AS ID, CONCAT(cu.name, _utf8' ', c.name) AS name, IF(cu.active, _utf8'active', _utf8'') AS notes FROM customer AS cu JOIN country AS c ON cu.country = c.id;
CREATE DEFINER=CURRENT_USER SQL SECURITY INVOKER VIEW a_first AS SELECT l.ID, GROUP_CONCAT(DISTINCT CONCAT(l.name, ': ', l.notes) ORDER BY l.name SEPARATOR '; ') AS info FROM rental.customer_list AS l GROUP BY l.ID;
DELIMITER ;;
CREATE TRIGGER film_insert AFTER INSERT ON `film` FOR EACH ROW BEGIN
  INSERT INTO film_text (film, title, text) VALUES (new.id, new.title, new.text);
END;;
CREATE TRIGGER film_update AFTER UPDATE ON rental.film FOR EACH ROW BEGIN
  IF (old.title != new.title) OR (old.id != new.id) THEN
    UPDATE film_text SET title = new.title, film = new.id WHERE film = old.id;
  END IF;
END;;
DELIMITER //
CREATE PROCEDURE report (IN least TINYINT UNSIGNED, OUT n INT)
READS SQL DATA
SQL SECURITY DEFINER
COMMENT 'a comment; with a semicolon'
proc: BEGIN
  # a comment
  IF least = 0 THEN
    SELECT 'must be > 0';
    LEAVE proc;
  END IF;
  CREATE TEMPORARY TABLE tmp (id SMALLINT UNSIGNED NOT NULL PRIMARY KEY);
  INSERT INTO tmp SELECT country FROM customer GROUP BY country HAVING COUNT(*) > least;
  SELECT COUNT(*) FROM tmp INTO n;
  DROP TABLE tmp;
END //
CREATE FUNCTION held(p INT) RETURNS INT
READS SQL DATA
BEGIN
  DECLARE v INT;
  DECLARE EXIT HANDLER FOR NOT FOUND RETURN NULL;
  SELECT id INTO v FROM customer WHERE country = p;
  RETURN v;
END //
DELIMITER ;
