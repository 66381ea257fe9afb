<?php use Shop\View; ?>
<ul class="products">
<?php foreach ($products as $p): ?>
<li><a href="/product/<?= (int) $p['id'] ?>"><img src="<?= View::text(View::asset($p['image_path'])) ?>" alt="" loading="lazy"><br><?= View::text($p['name']) ?></a> € <?= View::text($p['price_gross']) ?></li>
<?php endforeach ?>
</ul>
