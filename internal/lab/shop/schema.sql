-- The shop's schema, written for MariaDB 10.11. Everything in it has a counterpart in MySQL 9.7;
-- what is spelt differently there (the JSON alias, defaults, display widths) is for the copy to find.
CREATE DATABASE IF NOT EXISTS shop CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
USE shop;

CREATE TABLE categories (
  id         SMALLINT UNSIGNED NOT NULL AUTO_INCREMENT,
  parent_id  SMALLINT UNSIGNED NULL,
  slug       VARCHAR(80) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
  name       VARCHAR(120) NOT NULL,
  position   INT NOT NULL DEFAULT 0,
  visible    TINYINT(1) NOT NULL DEFAULT 1,
  PRIMARY KEY (id),
  UNIQUE KEY slug (slug),
  KEY parent (parent_id, position),
  CONSTRAINT categories_parent FOREIGN KEY (parent_id) REFERENCES categories (id) ON DELETE SET NULL
) ENGINE=InnoDB;

CREATE TABLE products (
  id          INT UNSIGNED NOT NULL AUTO_INCREMENT,
  sku         CHAR(12) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  category_id SMALLINT UNSIGNED NOT NULL,
  name        VARCHAR(200) NOT NULL,
  description TEXT NOT NULL,
  attributes  JSON NOT NULL,
  price       DECIMAL(10,2) NOT NULL,
  vat_rate    DECIMAL(4,2) NOT NULL DEFAULT 21.00,
  price_gross DECIMAL(12,2) GENERATED ALWAYS AS (ROUND(price * (100 + vat_rate) / 100, 2)) STORED,
  weight_kg   DOUBLE NULL,
  flags       SET('new','sale','eco','bulky') NOT NULL DEFAULT '',
  state       ENUM('draft','active','retired') NOT NULL DEFAULT 'draft',
  image_path  VARCHAR(255) NULL,
  thumbnail   BLOB NULL,
  created_at  DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at  DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  PRIMARY KEY (id),
  UNIQUE KEY sku (sku),
  KEY category (category_id, state, price),
  FULLTEXT KEY words (name),
  CONSTRAINT products_category FOREIGN KEY (category_id) REFERENCES categories (id)
) ENGINE=InnoDB;

CREATE TABLE stock (
  product_id INT UNSIGNED NOT NULL,
  warehouse  CHAR(3) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  quantity   INT UNSIGNED NOT NULL DEFAULT 0,
  reserved   INT UNSIGNED NOT NULL DEFAULT 0,
  shelf      VARCHAR(20) NULL,
  updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  PRIMARY KEY (product_id, warehouse),
  CONSTRAINT stock_product FOREIGN KEY (product_id) REFERENCES products (id) ON DELETE CASCADE
) ENGINE=InnoDB;

CREATE TABLE customers (
  id            INT UNSIGNED NOT NULL AUTO_INCREMENT,
  email         VARCHAR(190) NOT NULL,
  password_hash VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  name          VARCHAR(120) NOT NULL,
  legacy_note   VARCHAR(200) CHARACTER SET latin1 COLLATE latin1_swedish_ci NULL,
  born          DATE NULL,
  newsletter    TINYINT(1) NOT NULL DEFAULT 0,
  balance       DECIMAL(12,4) NOT NULL DEFAULT 0.0000,
  locale        CHAR(5) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL DEFAULT 'nl_NL',
  created_at    DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  last_login    TIMESTAMP NULL DEFAULT NULL,
  PRIMARY KEY (id),
  UNIQUE KEY email (email)
) ENGINE=InnoDB;

CREATE TABLE addresses (
  customer_id INT UNSIGNED NOT NULL,
  kind        ENUM('billing','shipping') NOT NULL,
  seq         TINYINT UNSIGNED NOT NULL,
  street      VARCHAR(160) NOT NULL,
  postcode    VARCHAR(12) NOT NULL,
  city        VARCHAR(80) NOT NULL,
  country     CHAR(2) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
  latitude    DOUBLE NULL,
  longitude   DOUBLE NULL,
  PRIMARY KEY (customer_id, kind, seq),
  CONSTRAINT addresses_customer FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE CASCADE
) ENGINE=InnoDB;

CREATE TABLE carts (
  id          BINARY(16) NOT NULL,
  customer_id INT UNSIGNED NULL,
  created_at  DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at  DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  expires_at  DATETIME NOT NULL,
  PRIMARY KEY (id),
  KEY customer (customer_id),
  KEY expires (expires_at),
  CONSTRAINT carts_customer FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE CASCADE
) ENGINE=InnoDB;

CREATE TABLE cart_lines (
  cart_id    BINARY(16) NOT NULL,
  product_id INT UNSIGNED NOT NULL,
  quantity   SMALLINT UNSIGNED NOT NULL,
  added_at   DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (cart_id, product_id),
  KEY product (product_id),
  CONSTRAINT cart_lines_cart FOREIGN KEY (cart_id) REFERENCES carts (id) ON DELETE CASCADE,
  CONSTRAINT cart_lines_product FOREIGN KEY (product_id) REFERENCES products (id) ON DELETE CASCADE
) ENGINE=InnoDB;

CREATE TABLE orders (
  id           BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  number       CHAR(13) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  token        BINARY(16) NULL,
  customer_id  INT UNSIGNED NOT NULL,
  state        ENUM('placed','confirmed','shipped','cancelled') NOT NULL DEFAULT 'placed',
  currency     CHAR(3) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL DEFAULT 'EUR',
  total        DECIMAL(12,2) NOT NULL,
  checksum     CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  note         TEXT NULL,
  placed_at    DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  confirmed_at DATETIME NULL,
  PRIMARY KEY (id),
  UNIQUE KEY number (number),
  UNIQUE KEY token (token),
  KEY customer (customer_id, placed_at),
  KEY unconfirmed (confirmed_at, placed_at),
  CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES customers (id)
) ENGINE=InnoDB;

CREATE TABLE order_lines (
  order_id   BIGINT UNSIGNED NOT NULL,
  line_no    SMALLINT UNSIGNED NOT NULL,
  product_id INT UNSIGNED NOT NULL,
  quantity   SMALLINT UNSIGNED NOT NULL,
  unit_price DECIMAL(10,2) NOT NULL,
  line_total DECIMAL(12,2) GENERATED ALWAYS AS (quantity * unit_price) VIRTUAL,
  PRIMARY KEY (order_id, line_no),
  KEY product (product_id),
  CONSTRAINT order_lines_order FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE,
  CONSTRAINT order_lines_product FOREIGN KEY (product_id) REFERENCES products (id)
) ENGINE=InnoDB;

CREATE TABLE payments (
  id         BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  order_id   BIGINT UNSIGNED NOT NULL,
  method     ENUM('card','ideal','invoice') NOT NULL,
  state      ENUM('authorised','captured','refunded','failed') NOT NULL,
  amount     DECIMAL(12,2) NOT NULL,
  reference  VARBINARY(32) NOT NULL,
  receipt    MEDIUMBLOB NULL,
  created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (id),
  KEY placed (order_id),
  CONSTRAINT payments_order FOREIGN KEY (order_id) REFERENCES orders (id)
) ENGINE=InnoDB;

CREATE TABLE reviews (
  id          INT UNSIGNED NOT NULL AUTO_INCREMENT,
  product_id  INT UNSIGNED NOT NULL,
  customer_id INT UNSIGNED NULL,
  rating      TINYINT UNSIGNED NOT NULL,
  title       VARCHAR(160) NOT NULL,
  body        MEDIUMTEXT NULL,
  created_at  DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (id),
  KEY product (product_id, created_at),
  KEY customer (customer_id),
  CONSTRAINT reviews_rating CHECK (rating BETWEEN 1 AND 5),
  CONSTRAINT reviews_product FOREIGN KEY (product_id) REFERENCES products (id) ON DELETE CASCADE,
  CONSTRAINT reviews_customer FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE SET NULL
) ENGINE=InnoDB;

CREATE TABLE view_counters (
  product_id INT UNSIGNED NOT NULL,
  day        DATE NOT NULL,
  views      INT UNSIGNED NOT NULL DEFAULT 0,
  PRIMARY KEY (product_id, day),
  CONSTRAINT view_counters_product FOREIGN KEY (product_id) REFERENCES products (id) ON DELETE CASCADE
) ENGINE=InnoDB;

CREATE TABLE mails (
  id           BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  order_number CHAR(13) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  kind         ENUM('confirmation','shipment') NOT NULL,
  recipient    VARCHAR(190) NOT NULL,
  subject      VARCHAR(200) NOT NULL,
  body         LONGTEXT NOT NULL,
  headers      JSON NULL,
  created_at   TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  PRIMARY KEY (id),
  UNIQUE KEY once (order_number, kind)
) ENGINE=InnoDB;

CREATE TABLE session_log (
  id           BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  session_hash BINARY(16) NOT NULL,
  customer_id  INT UNSIGNED NULL,
  address      VARBINARY(16) NOT NULL,
  user_agent   VARCHAR(255) NOT NULL DEFAULT '',
  load_average FLOAT NULL,
  seen_at      TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (id),
  KEY seen (seen_at)
) ENGINE=InnoDB;
