<?php use Shop\View; ?>
<form action="/login" method="post">
<input type="hidden" name="csrf" value="<?= View::text($csrf) ?>">
<label>E-mail <input name="email" type="email"></label>
<label>Password <input name="password" type="password"></label>
<button>Log in</button>
</form>
