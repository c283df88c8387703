drop view priced;
