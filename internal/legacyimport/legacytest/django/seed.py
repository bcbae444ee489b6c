"""Makes the tables, and 2,000 links with files. Usage: seed.py LINKS THUMBNAILS"""
import os
import struct
import sys
import zlib
from datetime import datetime, timedelta, timezone

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"

import django

django.setup()

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from rest_framework.authtoken.models import Token

from core.models import Media, Portfolio, PortfolioLink, Thumbnail, UserPermission

COUNT, THUMBNAILS = int(sys.argv[1]), int(sys.argv[2])
BEGIN = datetime(2025, 12, 2, 9, 30, 0, 0, timezone.utc)
TEXTS = ["دمو پروژه", "link", 'quotes " and \\ slashes', "emoji 🎨 and \u200c", "controls \t\n\x01", "lines \u2028\u2029", "<&>/", "é" * 100]


def png(number):
    """Returns a small image that is unlike all others."""
    rows = b"".join(b"\0" + struct.pack(">I", number) * 6 for _ in range(8))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def write(path, content):
    name = os.path.join(os.environ["MEDIA_ROOT"], path)
    os.makedirs(os.path.dirname(name), exist_ok=True)
    with open(name, "wb") as file:
        file.write(content)
    return len(content)


def moment(number):
    """Returns a time, some without and some with microseconds."""
    return BEGIN + timedelta(minutes=number, microseconds=number % 7 * 123457)


def users():
    for number, (name, staff, admin, active, codes) in enumerate(
        [
            ("admin", True, True, True, []),
            ("staff", True, False, True, [4242, 7]),
            ("other", True, False, True, [424]),
            ("plain", False, False, True, [4242]),
            ("inactive", True, False, False, [4242]),
        ],
        1,
    ):
        user = User.objects.create(id=number, username=name, is_staff=staff, is_superuser=admin, is_active=active, date_joined=moment(number))
        UserPermission.objects.bulk_create(UserPermission(user=user, code=code) for code in codes)
        Token.objects.create(user=user, key=f"{number:040x}")


def images():
    media, thumbnails = [], []
    for number in range(1, COUNT + 1):
        folder = moment(number).strftime("core_media/%Y/%m/%d")
        path = f"{folder}/{'image' if number % 3 else 'تصویر ۱ (a)'}_{number}.png"
        size = write(path, png(number))
        known = number % 5 > 0
        media.append(Media(id=number, name=TEXTS[number % 2], f=path, size=size * number, width=8 if known else None, height=8 if known else None, mode="RGB" if known else None))
        for box in range(number % (THUMBNAILS + 1)):
            path = f"{folder}/thumbnails/{number}_thumbnail_{64 << box}.png"
            write(path, png(number << 3 | box + 1))
            thumbnails.append(Thumbnail(id=number * 10 + 9 - box, media_id=number, f=path, size=64 << box if box else None))
    Media.objects.bulk_create(media)
    Thumbnail.objects.bulk_create(thumbnails)


def links():
    Portfolio.objects.bulk_create(Portfolio(id=id, name=TEXTS[id]) for id in (1, 2))
    PortfolioLink.objects.bulk_create(
        PortfolioLink(
            id=number,
            portfolio_id=1 + number // 50 % 2,
            image_id=number if number % 10 else None,  # every tenth image has no link
            name=f"{TEXTS[number % len(TEXTS)]} {number}",
            url=f"https://example.com/{number}?a=b&c=d" if number % 4 else None,
            description=TEXTS[number // 3 % len(TEXTS)] if number % 6 else (None if number % 12 else ""),
        )
        for number in range(1, COUNT + 1)
    )
    with connection.cursor() as cursor:  # the times are set by Django otherwise
        for table in ("core_portfolio", "core_portfoliolink", "core_media"):
            updated = ", updated_at = %s + id * interval '1 minute 0.000777 seconds'" if table != "core_media" else ""
            cursor.execute(f"UPDATE {table} SET created_at = %s + id * interval '1 minute 0.123457 seconds'" + updated, [BEGIN] * (2 if updated else 1))
        cursor.execute("UPDATE core_portfoliolink SET updated_at = date_trunc('second', updated_at) WHERE id %% 4 = 0", [])


call_command("migrate", run_syncdb=True, verbosity=0)
users()
images()
links()
