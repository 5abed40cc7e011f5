"""Files of trios: uploaded, shown row by row, confirmed as shown; afterwards what became of each row."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

import unfold.admin
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminFileFieldWidget

from infrastructure.admin_pages import DialogActions, DialogForm, ReadOnlyHistory, dialog, redirect
from orders.admin import columns
from orders.domain.rounding import plain
from signals.admin.signals import why
from signals.domain.enums import Outcome
from signals.domain.refusals import SignalRefused, sentence
from signals.domain.trio_csv import BYTES_MAX, COLUMNS, REQUIRED, ROWS_MAX
from signals.files import Preview, file_confirm, file_made, file_preview, signals_of, trios_export
from signals.models import SignalResult, SizingRule, TrioFile

if TYPE_CHECKING:
    FileBase = admin.ModelAdmin[TrioFile]
    RuleBase = admin.ModelAdmin[SizingRule]
    FormBase = forms.ModelForm[TrioFile]
    RuleFormBase = forms.ModelForm[SizingRule]
else:
    FileBase = unfold.admin.ModelAdmin
    FormBase = RuleFormBase = forms.ModelForm

    class RuleBase(ReadOnlyHistory, unfold.admin.ModelAdmin):
        pass


ROWS = "admin/signals/triofile/rows.html"


class UploadForm(FormBase):
    upload = forms.FileField(
        label="File",
        widget=UnfoldAdminFileFieldWidget(),
        help_text=f"CSV in UTF-8, its first line the columns: {', '.join(COLUMNS)}. Needed: {', '.join(REQUIRED)}. At most "
        f"{ROWS_MAX} rows and {BYTES_MAX // 1024} KB. Nothing is placed before you have seen each row and confirmed.",
    )

    class Meta:
        model = TrioFile
        fields = ()

    def clean_upload(self) -> Any:
        """Read the file. Raises ValidationError where it is no file of trios."""
        upload = self.cleaned_data["upload"]
        try:
            self.instance = file_made(name=str(upload.name), content=upload.read(BYTES_MAX + 1))
        except SignalRefused as refused:
            raise forms.ValidationError(sentence(refused.kind, refused.facts)) from None
        return upload


class ConfirmForm(DialogForm):
    """Shows the rows as they would be placed now, and carries what it shows."""

    token = forms.CharField(required=False, widget=forms.HiddenInput)
    form_before_template = ROWS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._preview: Preview | None = None
        number = str(kwargs.get("object_id"))
        file = TrioFile.objects.filter(pk=int(number)).first() if number.isdigit() else None
        if file is not None and not self.is_bound:
            self._preview = file_preview(file)
            self.fields["token"].initial = self._preview.token

    def get_before_template_context(self, request: Any, object_id: Any = None) -> dict[str, Any]:
        return {"preview": self._preview}


@admin.register(TrioFile)
class TrioFileAdmin(DialogActions, FileBase):
    refusals = (SignalRefused,)
    list_display = ("name", "uploaded", "uploaded_by", "rows", "confirmed", "confirmed_by")
    list_select_related = ("uploaded_by",)
    actions_detail: ClassVar = ["confirm"]
    actions_list: ClassVar = ["export"]
    uploaded = columns.time("uploaded_at", "Uploaded")
    confirmed = columns.time("confirmed_at", "Confirmed")

    class Media:
        css: ClassVar = {"all": ("orders/trio.css",)}

    def refusal_message(self, obj: Any, error: Exception) -> str:
        return sentence(error.kind, error.facts) if isinstance(error, SignalRefused) else str(error)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is None:
            return UploadForm
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: TrioFile | None = None) -> Any:
        return ("upload",) if obj is None else self.get_readonly_fields(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: TrioFile | None = None) -> Any:
        if obj is None:
            return ()
        return ("name", "uploaded", "uploaded_by", "confirmed", "confirmed_by", "rows_shown")

    def save_model(self, request: HttpRequest, obj: TrioFile, form: Any, change: bool) -> None:
        obj.uploaded_by = request.user if isinstance(request.user, User) else None
        super().save_model(request, obj, form, change)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return any(request.user.has_perm(f"signals.{verb}_triofile") for verb in ("view", "add"))

    def has_place_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("orders.place_trioorder")

    @display(description="Rows")
    def rows_shown(self, file: TrioFile) -> str:
        signals = signals_of(file)
        if not signals:
            return render_to_string(ROWS, {"preview": file_preview(file)})
        results = [
            {"signal": signal, "result": result, "why": why(result)}
            for signal in signals
            for result in signal.results.all()
        ]
        done = SignalResult.objects.filter(signal__in=signals).exclude(outcome=Outcome.PENDING).count()
        return render_to_string(
            "admin/signals/triofile/results.html", {"results": results, "done": done, "all": len(results)}
        )

    @action(
        description="Place these trios",
        url_path="confirm",
        permissions=["place"],
        dialog=dialog(
            "Place these trios?",
            "All or none: if one row is wrong, nothing is placed. A row is placed once, however often its file is uploaded.",
            "Place them",
            ConfirmForm,
        ),
    )
    def confirm(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def perform(file: TrioFile) -> str:
            new = file_confirm(file.pk, token=form.cleaned_data["token"], by=request.user.get_username())
            if not new:
                return "These rows were placed before: nothing was placed now."
            rows = "1 trio is" if new == 1 else f"{new} trios are"
            return f"{rows} on the way: reload this page to see what became of each."

        return self.on_page(request, object_id, lambda file: self.run(request, file, perform))

    @action(
        description="Export trios",
        url_path="export",
        permissions=["export"],
        dialog=dialog("Export trios?", "The newest trios, in the import format.", "Export"),
    )
    def export(self, request: HttpRequest, form: Any) -> HttpResponse:
        return redirect(request, reverse("admin:signals_triofile_download"))

    def has_export_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("orders.view_trioorder")

    def get_urls(self) -> Any:
        from django.urls import path

        download = self.admin_site.admin_view(self.download)
        return [path("download/", download, name="signals_triofile_download"), *super().get_urls()]

    def download(self, request: HttpRequest) -> HttpResponse:
        """Answer with the trios as a file."""
        if not self.has_export_permission(request):
            messages.error(request, "You may not see trios.")
            return redirect(request, reverse("admin:index"))
        headers = {"Content-Disposition": 'attachment; filename="trios.csv"', "Cache-Control": "no-store"}
        return HttpResponse(trios_export(), content_type="text/csv; charset=utf-8", headers=headers)


class RuleForm(RuleFormBase):
    class Meta:
        model = SizingRule
        fields = ("account", "kind", "value", "cap", "slippage")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("value", "slippage"):
            if isinstance(value := self.initial.get(name), Decimal):  # not with sixteen decimals
                self.initial[name] = plain(value)


@admin.register(SizingRule)
class SizingRuleAdmin(RuleBase):
    """How an account sizes what says no size of its own: a ticket for several accounts, a webhook without one."""

    form = RuleForm
    list_display = ("account", "kind", "value_shown", "cap")
    list_select_related = ("account",)
    value_shown = columns.amount("value", "Value")

    def get_readonly_fields(self, request: HttpRequest, obj: SizingRule | None = None) -> tuple[str, ...]:
        return () if obj is None else ("account",)
