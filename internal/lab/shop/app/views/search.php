<?php use Shop\View; ?>
<p><?= count($products) ?> found for “<?= View::text($words) ?>”.</p>
<?php require __DIR__ . '/products.php' ?>
