"""Models of the bank's projections."""

from django.db import models


class Balance(models.Model):
    """What is on each account."""

    number = models.CharField(max_length=30, primary_key=True)
    owner = models.CharField(max_length=100)
    balance = models.DecimalField(max_digits=20, decimal_places=2, default=0)
    movements = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return self.number


class Branch(models.Model):
    """What each owner has at each branch: a key of two fields and a surrogate primary key."""

    branch = models.CharField(max_length=30)
    owner = models.CharField(max_length=100)
    accounts = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("branch", "owner"), name="bank_branch_owner"),
        )

    def __str__(self) -> str:
        return f"{self.branch}: {self.owner}"


class AuditLine(models.Model):
    """One line for every event."""

    text = models.CharField(max_length=200)
    position = models.BigIntegerField()

    def __str__(self) -> str:
        return self.text
