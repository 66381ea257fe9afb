package migrate

// DepOn is a dependency by id, for runbooks that tests make of tables.
func DepOn(id StepID) Dep { return Dep{id} }
