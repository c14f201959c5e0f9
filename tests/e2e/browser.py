"""A headless Chromium for the tests of the pages that people use."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
WAIT_SECONDS = 60
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1500,1000",
]


class Page:
    """What a person does in a browser: open, look for, click, take a picture."""

    def __init__(self, driver: webdriver.Chrome, pictures: Path) -> None:
        self._driver, self._pictures = driver, pictures

    def open(self, url: str) -> None:
        self._driver.get(url)

    def find(self, selector: str, *, text: str = "") -> WebElement:
        """The first visible element of a CSS selector that holds the text, as soon as there is one."""

        def visible(driver: webdriver.Chrome) -> WebElement | None:
            found = driver.find_elements(By.CSS_SELECTOR, selector)
            return next((e for e in found if e.is_displayed() and text in e.text), None)

        wait = WebDriverWait(self._driver, WAIT_SECONDS, ignored_exceptions=[Exception])
        return wait.until(visible, f"{selector} {text!r} did not appear at {self._driver.current_url}")

    def picture(self, name: str) -> None:
        self._driver.save_screenshot(str(self._pictures / f"{name}.png"))


@contextmanager
def chromium(folder: Path) -> Iterator[Page]:
    """A browser of its own profile; pictures go to the folder."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in [*FLAGS, f"--user-data-dir={folder / 'profile'}"]:
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    try:
        yield Page(driver, folder)
    finally:
        driver.quit()
