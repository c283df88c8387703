"""Settings of Django's own test suite, for the server that PGHOST and PGPORT name."""

import os


def database(name):
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": "postgres",
        "HOST": os.environ["PGHOST"],
        "PORT": os.environ["PGPORT"],
        "TEST": {"NAME": f"test_{name}"},
        # The databases that tests are made from need not exist.
        "OPTIONS": {},
    }


DATABASES = {"default": database("serin1"), "other": database("serin2")}
SECRET_KEY = "not secret"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
