pub struct Short {}
