"""Settings of the example project. Everything that differs between machines is in `.env`.

See `.env.example` for what can be set there.
"""

from pathlib import Path
from typing import Any

import django
import environ

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
if (BASE_DIR / ".env").is_file():
    env.read_env(BASE_DIR / ".env")

DEBUG = env.bool("DEBUG", default=True)

INSECURE_KEY_FOR_DEVELOPMENT = "insecure-key-for-development-only-never-use-it-in-production"
# Without a default, a site that is not in debug mode refuses to start on a missing key.
SECRET_KEY = env.str(
    "SECRET_KEY", default=INSECURE_KEY_FOR_DEVELOPMENT if DEBUG else environ.Env.NOTSET
)

ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "rill_django",
    "example_project.home",
    "example_project.flights",
    "example_project.registration",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    # After authentication: it notes who sent a command.
    "rill_django.middleware.MetadataMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "example_project.urls"
WSGI_APPLICATION = "example_project.wsgi.application"
ASGI_APPLICATION = "example_project.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]


def for_sqlite(database: dict[str, Any]) -> dict[str, Any]:
    """Settings under which one SQLite file serves web processes and workers at once."""
    database["OPTIONS"] = {
        # A transaction that begins by reading and then writes would fail at once, not wait,
        # when another process has written in between.
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    } | database.get("OPTIONS", {})
    if database["NAME"] != ":memory:":
        file = Path(database["NAME"])
        # Django's default is a database in memory, which no second process can open.
        database["TEST"] = {"NAME": str(file.with_name(f"test_{file.name}"))}
    return database


default_database = env.db_url("DATABASE_URL", default=f"sqlite:///{BASE_DIR / 'db.sqlite3'}")
if default_database["ENGINE"] == "django.db.backends.sqlite3":
    default_database = for_sqlite(default_database)
else:
    default_database["CONN_MAX_AGE"] = env.int("CONN_MAX_AGE", default=0)
    default_database["CONN_HEALTH_CHECKS"] = True

DATABASES = {"default": default_database}

# Registrations are counted in the cache. Without a shared one, each process counts for itself.
CACHES = {"default": env.cache_url("CACHE_URL", default="locmemcache://")}
REGISTRATION_MAILS_PER_HOUR = env.int("REGISTRATION_MAILS_PER_HOUR", default=20)

if not DEBUG:
    # Behind a proxy that ends TLS, it has to say so, or redirects would go on for ever.
    SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=True)
    if env.bool("BEHIND_PROXY", default=False):
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
        REST_FRAMEWORK = {"NUM_PROXIES": 1}
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    # An hour until all is known to work over HTTPS; a year then.
    SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=3600)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True

# Mails lead back here; the Host header of a request is the visitor's word.
SITE_URL = env.str("SITE_URL", default="http://localhost:8000")

# The API can send every command there is, so only staff may use it.
RILL = {"API_PERMISSIONS": ["rest_framework.permissions.IsAdminUser"]}

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"

CONSOLE_MAIL = "django.core.mail.backends.console.EmailBackend"
if django.VERSION >= (6, 1):  # the new setting warns of the old one
    MAILERS = {"default": {"BACKEND": CONSOLE_MAIL}}
else:
    EMAIL_BACKEND = CONSOLE_MAIL

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {
        "rill_django": {
            "handlers": ["console"],
            "level": env.str("RILL_LOG_LEVEL", default="INFO"),
        },
    },
}
