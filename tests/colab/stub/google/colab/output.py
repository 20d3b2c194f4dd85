"""What widgets use of Colab: the switch for a widget manager that shows third-party widgets."""

custom_widget_manager_enabled = False


def enable_custom_widget_manager() -> None:
    """Note that the switch was thrown."""
    global custom_widget_manager_enabled
    custom_widget_manager_enabled = True
