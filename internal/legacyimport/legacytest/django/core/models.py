from django.conf import settings
from django.db import models


class UserPermission(models.Model):
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="codes")
    code = models.IntegerField()


class Portfolio(models.Model):
    name = models.CharField(max_length=255)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)


class Media(models.Model):
    type = models.CharField(max_length=20, default="image")
    name = models.CharField(max_length=255)
    f = models.FileField(upload_to="core_media/%Y/%m/%d", max_length=500)
    size = models.BigIntegerField()
    width = models.IntegerField(null=True)
    height = models.IntegerField(null=True)
    mode = models.CharField(max_length=10, null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    @property
    def human_readable_size(self):
        size = self.size
        for unit in ("B", "KB", "MB", "GB"):
            if size < 1024:
                return f"{size:.2f} {unit}"
            size /= 1024
        return f"{size:.2f} TB"


class Thumbnail(models.Model):
    media = models.ForeignKey(Media, models.CASCADE, related_name="thumbnails")
    f = models.FileField(upload_to="core_media/%Y/%m/%d/thumbnails", max_length=500)
    size = models.IntegerField(null=True)

    class Meta:
        ordering = ["id"]


class PortfolioLink(models.Model):
    portfolio = models.ForeignKey(Portfolio, models.CASCADE)
    image = models.ForeignKey(Media, models.SET_NULL, null=True)
    name = models.CharField(max_length=255)
    url = models.URLField(max_length=2000, null=True)
    description = models.TextField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
