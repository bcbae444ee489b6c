from django.conf import settings
from django.urls import re_path
from django.views.static import serve
from rest_framework import generics, permissions, serializers

from core.models import Media, PortfolioLink, Thumbnail


class PortfolioLinkPermission(permissions.BasePermission):
    def has_permission(self, request, view):
        user = request.user
        if not user.is_authenticated:
            return False
        return user.is_superuser or user.is_staff and user.codes.filter(code=4242).exists()


class ThumbnailSerializer(serializers.ModelSerializer):
    class Meta:
        model = Thumbnail
        fields = ["id", "f", "size"]


class MediaSerializer(serializers.ModelSerializer):
    thumbnails = ThumbnailSerializer(many=True)

    class Meta:
        model = Media
        fields = ["id", "type", "name", "size", "human_readable_size", "f", "width", "height", "mode", "thumbnails"]


class PortfolioLinkSerializer(serializers.ModelSerializer):
    image_data = MediaSerializer(source="image")

    class Meta:
        model = PortfolioLink
        fields = ["id", "name", "url", "image_data", "description", "created_at", "updated_at"]


class RetrievePortfolioLink(generics.RetrieveAPIView):
    permission_classes = [PortfolioLinkPermission]
    serializer_class = PortfolioLinkSerializer
    lookup_url_kwarg = "id"

    def get_queryset(self):
        links = PortfolioLink.objects.select_related("image").prefetch_related("image__thumbnails")
        portfolio_id = self.kwargs.get("portfolio_id")
        return links if portfolio_id is None else links.filter(portfolio_id=portfolio_id)


urlpatterns = [
    re_path(r"^api/portfolios/(?P<portfolio_id>[0-9]+)/links/(?P<id>[0-9]+)$", RetrievePortfolioLink.as_view()),
    re_path(r"^api/portfolios/links/(?P<id>[0-9]+)$", RetrievePortfolioLink.as_view()),
    re_path(r"^media/(?P<path>.*)$", serve, {"document_root": settings.MEDIA_ROOT}),
]
