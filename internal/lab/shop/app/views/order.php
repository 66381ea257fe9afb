<?php use Shop\View; ?>
<p>Thank you. Your order <strong class="number"><?= View::text($order['number']) ?></strong> is <?= View::text($order['state']) ?>.</p>
<table>
<?php foreach ($order['lines'] as $l): ?>
<tr><td><?= (int) $l['line_no'] ?></td><td><?= View::text($l['name']) ?></td><td class="number"><?= (int) $l['quantity'] ?></td><td class="number">€ <?= View::text($l['line_total']) ?></td></tr>
<?php endforeach ?>
</table>
<p>Total <?= View::text($order['currency']) ?> <?= View::text($order['total']) ?>, placed <?= View::text($order['placed_at']) ?>.</p>
<p>Checksum <code class="checksum"><?= View::text($order['checksum']) ?></code></p>
