from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", include("rill_django.api.urls")),
    path("registration/", include("example_project.registration.urls")),
    path("", include("example_project.home.urls")),
]
