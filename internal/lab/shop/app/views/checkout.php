<?php use Shop\View; ?>
<table>
<?php foreach ($lines as $l): ?>
<tr><td><?= View::text($l['name']) ?></td><td class="number"><?= (int) $l['quantity'] ?></td><td class="number">€ <?= View::text($l['price_gross']) ?></td></tr>
<?php endforeach ?>
</table>
<?php foreach ($addresses as $a): ?>
<p><?= View::text($a['kind']) ?>: <?= View::text("{$a['street']}, {$a['postcode']} {$a['city']}, {$a['country']}") ?></p>
<?php endforeach ?>
<form action="/order" method="post">
<input type="hidden" name="csrf" value="<?= View::text($csrf) ?>">
<input type="hidden" name="token" value="<?= View::text($token) ?>">
<label>Pay by <select name="method"><option value="card">card</option><option value="ideal">iDEAL</option><option value="invoice">invoice</option></select></label>
<label>Note <input name="note"></label>
<button>Order and pay</button>
</form>
