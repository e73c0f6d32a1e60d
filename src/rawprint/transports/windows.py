"""The functions of Windows that transports use, by ctypes. Unproven on hardware."""

from __future__ import annotations

import ctypes
import sys
from typing import TYPE_CHECKING

assert sys.platform == "win32"

from ctypes import wintypes  # noqa: E402

if TYPE_CHECKING:
    from rawprint.transports.overlapped import Overlapped

_kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
_setupapi = ctypes.WinDLL("setupapi", use_last_error=True)
_INVALID = ctypes.c_void_p(-1).value
_GENERIC_READ_WRITE, _SHARE_READ_WRITE, _OPEN_EXISTING, _OVERLAPPED = 0xC0000000, 3, 3, 0x40000000
_PRESENT, _DEVICE_INTERFACE = 0x2, 0x10
_FAILED = 0xFFFFFFFF

_kernel32.CreateFileW.restype = wintypes.HANDLE
_kernel32.CreateEventW.restype = wintypes.HANDLE
_kernel32.CloseHandle.argtypes = [wintypes.HANDLE]
_kernel32.WaitForSingleObject.argtypes = [wintypes.HANDLE, wintypes.DWORD]
_kernel32.WaitForSingleObject.restype = wintypes.DWORD
_kernel32.CancelIoEx.argtypes = [wintypes.HANDLE, ctypes.c_void_p]
_kernel32.GetOverlappedResult.argtypes = [wintypes.HANDLE, ctypes.c_void_p, ctypes.c_void_p, wintypes.BOOL]
_kernel32.ReadFile.argtypes = [wintypes.HANDLE, ctypes.c_void_p, wintypes.DWORD, ctypes.c_void_p, ctypes.c_void_p]
_kernel32.WriteFile.argtypes = [wintypes.HANDLE, ctypes.c_void_p, wintypes.DWORD, ctypes.c_void_p, ctypes.c_void_p]
_kernel32.DeviceIoControl.argtypes = [
    *(wintypes.HANDLE, wintypes.DWORD, ctypes.c_void_p, wintypes.DWORD),
    *(ctypes.c_void_p, wintypes.DWORD, ctypes.c_void_p, ctypes.c_void_p),
]
_setupapi.SetupDiGetClassDevsW.restype = wintypes.HANDLE
_setupapi.SetupDiEnumDeviceInterfaces.argtypes = [
    *(wintypes.HANDLE, ctypes.c_void_p, ctypes.c_void_p, wintypes.DWORD, ctypes.c_void_p),
]
_setupapi.SetupDiGetDeviceInterfaceDetailW.argtypes = [
    *(wintypes.HANDLE, ctypes.c_void_p, ctypes.c_void_p, wintypes.DWORD, ctypes.c_void_p, ctypes.c_void_p),
]
_setupapi.SetupDiDestroyDeviceInfoList.argtypes = [wintypes.HANDLE]


class _Guid(ctypes.Structure):
    _fields_ = (
        ("Data1", ctypes.c_uint32),
        ("Data2", ctypes.c_uint16),
        ("Data3", ctypes.c_uint16),
        ("Data4", ctypes.c_ubyte * 8),
    )


class _InterfaceData(ctypes.Structure):
    """SP_DEVICE_INTERFACE_DATA."""

    _fields_ = (
        ("cbSize", wintypes.DWORD),
        ("InterfaceClassGuid", _Guid),
        ("Flags", wintypes.DWORD),
        ("Reserved", ctypes.c_void_p),
    )


class System:
    """See usbprint.Windows."""

    def CreateEvent(self) -> int:
        """Of manual reset, as overlapped operations want it."""
        return int(_kernel32.CreateEventW(None, True, False, None))

    def CloseHandle(self, handle: int) -> bool:
        """See winbase.h, here as below."""
        return bool(_kernel32.CloseHandle(handle))

    def ReadFile(self, handle: int, buffer: ctypes.Array[ctypes.c_char], size: int, state: Overlapped) -> bool:
        return bool(_kernel32.ReadFile(handle, buffer, size, None, ctypes.byref(state)))

    def WriteFile(self, handle: int, data: bytes, size: int, state: Overlapped) -> bool:
        return bool(_kernel32.WriteFile(handle, data, size, None, ctypes.byref(state)))

    def WaitForSingleObject(self, event: int, milliseconds: int) -> int:
        return int(_kernel32.WaitForSingleObject(event, milliseconds))

    def CancelIoEx(self, handle: int, state: Overlapped) -> bool:
        return bool(_kernel32.CancelIoEx(handle, ctypes.byref(state)))

    def GetOverlappedResult(self, handle: int, state: Overlapped) -> int | None:
        """Waits for the end of the operation; None where it failed with nothing done."""
        count = wintypes.DWORD()
        if not _kernel32.GetOverlappedResult(handle, ctypes.byref(state), ctypes.byref(count), True):
            # A canceled write that had been taken in part tells its count all the same.
            return count.value or None
        return count.value

    def DeviceIoControl(self, handle: int, code: int, size: int) -> bytes | None:
        from rawprint.transports.overlapped import ERROR_IO_PENDING, Overlapped  # noqa: PLC0415

        answer, state = ctypes.create_string_buffer(size), Overlapped()
        state.hEvent = self.CreateEvent()
        try:
            done = _kernel32.DeviceIoControl(handle, code, None, 0, answer, size, None, ctypes.byref(state))
            if not done and self.GetLastError() != ERROR_IO_PENDING:
                return None
            if self.WaitForSingleObject(state.hEvent, 500):
                self.CancelIoEx(handle, state)
            count = self.GetOverlappedResult(handle, state)
        finally:
            self.CloseHandle(state.hEvent)
        return answer.raw[:count] if count else None

    def GetLastError(self) -> int:
        return ctypes.get_last_error()

    def open_file(self, path: str) -> int | None:
        """See usbprint.Windows."""
        handle = _kernel32.CreateFileW(
            path, _GENERIC_READ_WRITE, _SHARE_READ_WRITE, None, _OPEN_EXISTING, _OVERLAPPED, None
        )
        return None if handle == _INVALID else int(handle)

    def device_paths(self, interface: str) -> list[str]:
        """See usbprint.Windows."""
        guid = _Guid()
        ctypes.oledll.ole32.CLSIDFromString(interface, ctypes.byref(guid))
        devices = _setupapi.SetupDiGetClassDevsW(ctypes.byref(guid), None, None, _PRESENT | _DEVICE_INTERFACE)
        if devices == _INVALID:
            return []
        paths: list[str] = []
        try:
            data = _InterfaceData(cbSize=ctypes.sizeof(_InterfaceData))
            while _setupapi.SetupDiEnumDeviceInterfaces(
                devices, None, ctypes.byref(guid), len(paths), ctypes.byref(data)
            ):
                paths.append(self._path(devices, data))
        finally:
            _setupapi.SetupDiDestroyDeviceInfoList(devices)
        return paths

    @staticmethod
    def _path(devices: int, data: _InterfaceData) -> str:
        """SP_DEVICE_INTERFACE_DETAIL_DATA_W: its size (8 on 64 bits, 6 on 32), and behind that the path."""
        room = 2048
        detail = ctypes.create_string_buffer(room)
        ctypes.cast(detail, ctypes.POINTER(wintypes.DWORD))[0] = 8 if ctypes.sizeof(ctypes.c_void_p) == 8 else 6
        if not _setupapi.SetupDiGetDeviceInterfaceDetailW(devices, ctypes.byref(data), detail, room, None, None):
            return ""
        return detail.raw[4:].decode("utf-16le").partition("\0")[0]
